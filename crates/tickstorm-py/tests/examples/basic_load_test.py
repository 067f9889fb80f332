import asyncio
from tickstorm import LoadGenerator, LoadProfile

async def run_basic_test():
    # Create message processor
    async def process_message(msg):
        # Your processing logic here
        await asyncio.sleep(0.001)  # Simulate processing
        return True
    
    # Initialize generator
    generator = LoadGenerator(target_system=process_message)
    
    # Run 60-second test at 10x normal load
    await generator.run_load_test(
        duration_seconds=60,
        multiplier=10,
        profile=LoadProfile.NORMAL
    )
    
    # Get results
    report = generator.get_report()
    print(f"Messages sent: {report['total_messages']}")
    print(f"Success rate: {report['success_rate']:.2%}")
    print(f"Avg latency: {report['avg_latency_ms']:.2f}ms")

asyncio.run(run_basic_test())
