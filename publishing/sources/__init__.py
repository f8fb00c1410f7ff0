"""Message sources: where events come from that nobody posts. Each hands them to `publishing.service.publish`."""
