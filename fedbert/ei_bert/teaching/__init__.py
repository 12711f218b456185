"""The teacher, its losses, and the trainings."""
