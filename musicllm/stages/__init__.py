"""The verbs, one file each: `run(job)` calls the rooms step by step."""
