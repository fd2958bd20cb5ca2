"""The user's own `az ml` YAML: what is wrong with it, and its placeholders filled."""
