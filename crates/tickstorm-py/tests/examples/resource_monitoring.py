import psutil

async def monitor_resources():
    while generator.running:
        cpu = psutil.cpu_percent()
        memory = psutil.virtual_memory().percent
        if cpu > 80 or memory > 80:
            logger.warning(f"High resource usage: CPU={cpu}%, MEM={memory}%")
        await asyncio.sleep(1)
