"""The specification of the API: generated from the routes, completed, served with a page."""
