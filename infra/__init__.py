"""Infrastructure: the Bicep files, what checks them offline, and what builds the package."""
