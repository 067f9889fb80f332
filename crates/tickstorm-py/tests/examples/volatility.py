async def simulate_volatility():
    generator = LoadGenerator(target_system=process_message)
    
    # Simulate volatile market conditions
    await generator.run_load_test(
        duration_seconds=600,  # 10 minutes
        multiplier=50,
        profile=LoadProfile.VOLATILE
    )
    
    # Check system stability
    report = generator.get_report()
    if report['p99_latency_ms'] > 100:
        print("Warning: High tail latency detected")

asyncio.run(simulate_volatility())
