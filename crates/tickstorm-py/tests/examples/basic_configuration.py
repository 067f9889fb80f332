from tickstorm import LoadGenerator, LoadProfile

# Initialize with target system
generator = LoadGenerator(
    target_system=your_message_processor,
    base_rate=100,  # Base messages per second
    report_interval=10  # Report metrics every 10 seconds
)
