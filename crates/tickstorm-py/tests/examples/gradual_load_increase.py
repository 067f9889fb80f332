for multiplier in [1, 10, 50, 100, 200]:
    await generator.run_load_test(60, multiplier, LoadProfile.NORMAL)
    if generator.metrics.error_rate > 0.01:
        break
