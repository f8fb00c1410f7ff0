#!/usr/bin/env python3
"""Stands in for gcloud: writes each call to GCLOUD_CALLS, and refuses a command or a flag that gcloud does not have.

gcloud_flags.json is what gcloud 528 knows, of the commands that the scripts use: its own table of completions.
GCLOUD_EXISTS=yes lets `describe` find everything, otherwise nothing but addresses.
"""

import json
import os
import sys
from pathlib import Path

KNOWN = json.loads(Path(__file__).with_name("gcloud_flags.json").read_text(encoding="utf-8"))


def main() -> int:
    """Record the call; 2 when gcloud would refuse it."""
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    flags = [word.split("=", 1)[0] for word in sys.argv[1:] if word.startswith("--")]
    command = max((known for known in KNOWN if known and " ".join(words).startswith(known)), key=len, default="")
    allowed = {*KNOWN[""].split(), *KNOWN.get(command, "").split()}
    unknown = [flag for flag in flags if flag not in allowed]
    if not command or unknown:
        print(f"ERROR: gcloud does not know {unknown or words}", file=sys.stderr)
        return 2
    takes_input = "--data-file=-" in sys.argv
    read = sys.stdin.read() if takes_input else ""
    with Path(os.environ["GCLOUD_CALLS"]).open("a", encoding="utf-8") as calls:
        calls.write(json.dumps({"command": command, "arguments": sys.argv[1:], "input": len(read)}) + "\n")
    for word in sys.argv[1:]:
        if word.startswith("--metadata-from-file=user-data="):
            text = Path(word.partition("user-data=")[2]).read_text(encoding="utf-8")
            Path(os.environ["GCLOUD_CALLS"]).with_name("cloud-init.yaml").write_text(text, encoding="utf-8")
    if "describe" in command:
        if any(word.startswith("--format=") for word in sys.argv):
            print("10.0.0.3")
        elif os.environ.get("GCLOUD_EXISTS") != "yes":
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
