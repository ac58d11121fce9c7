"""Where tasks run, and how they are sent there."""
