"""Administration: the admin API, the tail, and the dashboard's pages."""
