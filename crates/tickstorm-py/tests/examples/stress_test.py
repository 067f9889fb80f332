async def run_stress_test():
    generator = LoadGenerator(
        target_system=process_message,
        base_rate=100,
        error_threshold=0.05  # Allow 5% errors
    )
    
    # Gradually increase load
    await generator.run_load_test(
        duration_seconds=300,  # 5 minutes
        multiplier=100,  # Target 100x load
        profile=LoadProfile.RAMP_UP
    )
    
    # Analyze breaking point
    metrics = generator.metrics
    if metrics.error_rate > 0.01:
        print(f"System degraded at {metrics.peak_throughput} msg/s")

asyncio.run(run_stress_test())
