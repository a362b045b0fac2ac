"""What is measured, a module each: `begin(job)` loads a system and returns what does a round."""
