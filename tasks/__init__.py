"""The runner side: Celery, claims, supervision of sandboxes, logs, and the scheduler's sweep."""
