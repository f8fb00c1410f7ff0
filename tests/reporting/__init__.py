"""What was tested and measured: summaries of test runs, differences between benchmark runs, and one page of both."""
