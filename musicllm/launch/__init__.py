"""How processes of a run start and find each other, and the runner of one job."""
