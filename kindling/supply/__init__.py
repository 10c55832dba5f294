"""Images and tools: where they come from, and how they are built when nothing serves them."""
