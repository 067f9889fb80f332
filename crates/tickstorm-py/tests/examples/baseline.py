baseline = await generator.run_load_test(300, 1, LoadProfile.NORMAL)
