"""The site of the documentation (`make docs`): Sphinx over every Markdown page of the repository.

The pages stay as they read in the repository: no directive stands in them. The navigation is what docs/README.md
lists, and a page that it does not list is a warning, so an error.
"""

import re
import shutil
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

ROOT = Path(__file__).resolve().parents[1]

project = "SSE gateway"
html_title = "SSE gateway"
extensions = ["myst_parser"]
root_doc = "docs/README"
include_patterns = [
    "*.md",
    "docs/**.md",
    "*/README.md",
    "tests/*/README.md",
    "examples/*/README.md",
    "benchmark-results/*.md",
]
exclude_patterns = [
    ".*",
    "build",
    "**/node_modules",
    "**/__pycache__",
    "cloudflare_worker",
    "frontend",
    "test-results/*/*",
]
myst_heading_anchors = 4
nitpicky = True
# A block in a language that Pygments does not know, or with … in it, is shown without colours.
suppress_warnings = ["misc.highlighting_failure"]
html_theme = "furo"
html_copy_source = False
html_show_sphinx = False


def navigation(_app: Sphinx, page: str, source: list[str]) -> None:
    """Make of each list of links in docs/README.md a part of the navigation."""
    if page != root_doc:
        return
    for title, part in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", source[0], re.MULTILINE | re.DOTALL):
        links = re.findall(r"^- \[(.+?)\]\((.+?)\.md\)", part, re.MULTILINE)
        entries = [f"{words} </{(ROOT / 'docs' / link).resolve().relative_to(ROOT)}>" for words, link in links]
        source[0] += "\n".join(["\n```{toctree}", ":hidden:", f":caption: {title}", "", *entries, "```", ""])


def folders(app: Sphinx, page: nodes.document) -> None:
    """Show a link to a folder of the repository as its words alone: a site has no page for it."""
    here = (ROOT / app.env.docname).parent
    for link in list(page.findall(pending_xref)):
        if (here / link["reftarget"]).is_dir():
            link.replace_self(link.children)


def finish(app: Sphinx, problem: Exception | None) -> None:
    """Give the site a first page, the page of results, and the pictures that pages name in HTML."""
    if problem is not None:
        return
    site = Path(app.outdir)
    shutil.copytree(ROOT / "build" / "results", site / "results", dirs_exist_ok=True)
    (site / "index.html").write_text(f'<!doctype html><meta http-equiv="refresh" content="0; url={root_doc}.html">\n')
    for page in map(Path, app.env.all_docs):
        text = (ROOT / f"{page}.md").read_text("utf-8")
        for link in re.findall(r'<a href="([^":#]+)"', text):
            if not (site / page.parent / link).exists():
                raise ExtensionError(f"{page}.md links to {link}, which the site does not have")
        for picture in re.findall(r'(?:src|srcset)="([^":]+)"', text):
            target = site / page.parent / picture
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / page.parent / picture, target)


def setup(app: Sphinx) -> None:
    """Register the steps."""
    app.connect("source-read", navigation)
    app.connect("doctree-read", folders)
    app.connect("build-finished", finish)
