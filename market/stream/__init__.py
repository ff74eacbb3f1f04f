"""The stream: WebSocket connections, what they subscribe to, and the frames they get."""
