"""The verbs: one file each, a short story in `run(job)`, told in calls to the rooms."""
