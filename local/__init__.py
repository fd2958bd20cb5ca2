"""Run the whole product on one machine: never shipped, imports nothing of the product itself."""
