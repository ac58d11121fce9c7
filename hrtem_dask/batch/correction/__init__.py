"""Labels exported for correction by hand, and imported again."""
