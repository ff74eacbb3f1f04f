"""Runners as the database knows them: who is alive and which queues they serve."""
