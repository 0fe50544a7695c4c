"""Mixed load with reloads and faults for as long as one likes: every answer is checked, and nothing may grow."""
