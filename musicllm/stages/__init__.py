"""One file per verb; each is a short story told in calls to the rooms."""
