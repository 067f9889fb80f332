# Configure with custom settings
generator = LoadGenerator(
    target_system=processor,
    base_rate=100,
    report_interval=10,
    max_concurrent=1000,  # Max concurrent messages
    timeout_seconds=5,  # Message processing timeout
    error_threshold=0.01  # 1% error rate threshold
)
