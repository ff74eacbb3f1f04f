"""`sequence dev`: the whole platform in the foreground, with the Procfile's own processes."""
