"""What people and programs are told of rollouts: which channels there are, and in which words."""
