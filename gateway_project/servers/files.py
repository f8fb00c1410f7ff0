"""The limit on open files: each connection is one."""

import resource


def raise_file_limit() -> int:
    """Raise this process's soft limit on open files to its hard limit.

    The usual soft limit of 1,024 is for programs that call `select`; neither server does, and it would refuse the
    thousandth client.

    Returns:
        The limit now in force.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
