"""What a run is: what its stage declares, what it reads, its model, its identity and its folder."""
