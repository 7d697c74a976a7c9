"""`python docs/screenshots/make.py`: take the terminal's screenshots anew, from real commands on a web that is served on loopback.

The commands run on a pseudo-terminal. What it showed while the crawl went on, and at the end, becomes HTML, and headless Chromium
takes the pictures; then those of the report on a desktop and on a phone, light and dark.
"""

import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from html import escape
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path += [str(ROOT), str(ROOT / "tests")]

from servers.library import pages, write_dump  # noqa: E402  # the tests' web
from servers.replay import ReplayServer  # noqa: E402

COLUMNS, ROWS = 110, 40
STYLE = """
body { margin: 0; background: #e8eaed; font: 14px/1.45 "DejaVu Sans Mono", monospace; }
main { margin: 24px; border-radius: 8px; overflow: hidden; background: #16181c; color: #e4e6ea; box-shadow: 0 4px 16px #0004; }
header { background: #2a2e35; padding: 8px 12px; color: #9aa1ac; }
pre { margin: 0; padding: 12px 16px 18px; font: inherit; white-space: pre-wrap; word-break: break-all; }
b { color: #8ab4f8; font-weight: normal; }
"""
DARK, LIGHT = "--blink-settings=preferredColorScheme=0", "--blink-settings=preferredColorScheme=1"


def shown(command: list[str], cwd: Path) -> tuple[str, list[str]]:
    """What a command leaves on a terminal, and every status line that it showed meanwhile."""
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    output = b""
    with subprocess.Popen(command, cwd=cwd, stdout=writer, stderr=writer, env=environment) as process:
        os.close(writer)
        try:
            while chunk := os.read(reader, 1 << 16):
                output += chunk
        except OSError:  # the end of a pseudo-terminal
            pass
    os.close(reader)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}\n{output.decode()}")
    drawn = re.findall(r"\r\x1b\[K([^\r\n]+)", output.decode())
    lines = [re.sub(r"^.*\x1b\[K|\x1b\[[\d;]*m", "", line.rstrip("\r")) for line in output.decode().split("\n")]
    return "\n".join(line for line in lines if line or lines[-1] != line), drawn


def page(title: str, prompt: str, text: str, status: str = "") -> str:
    """A terminal's window as HTML."""
    body = f"<b>$ {escape(prompt)}</b>\n{escape(text)}{escape(status)}"
    return (
        f"<!doctype html><meta charset=utf-8><style>{STYLE}</style><main><header>{escape(title)}</header><pre>{body}</pre></main>"
    )


def picture(address: str, name: str, width: int, height: int, theme: str = LIGHT) -> None:
    """Let Chromium take a picture of a page."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome") or sys.exit("no chromium: make browser")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=5000", theme]
    size = [f"--window-size={width},{height}", f"--screenshot={HERE / name}"]
    subprocess.run([chromium, *flags, *size, address], check=True, capture_output=True, timeout=120)


def terminal_picture(folder: Path, name: str, title: str, html: str) -> None:
    """A picture of a terminal, as high as its text."""
    path = folder / f"{title}.html"
    path.write_text(html, encoding="utf-8")
    lines = sum(-(-len(line) // COLUMNS) or 1 for line in html.rpartition("<pre>")[2].split("\n"))
    picture(path.as_uri(), name, 9 * COLUMNS + 80, 21 * lines + 115)


def main() -> None:
    """Run the commands, take the pictures."""
    with tempfile.TemporaryDirectory() as temporary, ReplayServer(pages(110)) as web:
        folder = Path(temporary)
        write_dump(folder / "RS_2017-07.jsonl", web.pages)
        (folder / "recipe.toml").write_text(
            f'[pages]\nproxy = "{web.proxy_url}"\nca-bundle = "{web.ca_bundle}"\nhost-delay = 2\n'
            'contact = "you@example.com"\n[vocabulary]\nvocab-size = 600\n[tokens]\nvalidation-share = 0.05\n'
        )
        webtext = [sys.executable, "-m", "pipeline"]
        words = [
            "run",
            "--config",
            "recipe.toml",
            "--submissions",
            "RS_2017-07.jsonl",
            "--output",
            "corpus",
            "--limit",
            "120",
            "--workers",
            "1",
        ]
        text, drawn = shown([*webtext, *words], folder)
        crawling = [line for line in drawn if line.startswith("pages 2/7")]
        middle = next((line for line in crawling[len(crawling) // 2 :] if " left" in line), crawling[len(crawling) // 2])
        prompt = f"webtext {' '.join(words)}"
        terminal_picture(folder, "terminal-progress.png", "run", page("a run", prompt, f"{text.splitlines()[0]}\n", middle))
        terminal_picture(folder, "terminal-run.png", "end", page("a run", prompt, text))
        status, _ = shown([*webtext, "status", "--corpus", "corpus"], folder)
        terminal_picture(folder, "terminal-status.png", "status", page("status", "webtext status --corpus corpus", status))
        report = folder / "corpus" / "report" / "report.html"
        frame = folder / "phone.html"  # a window of headless Chromium is never narrower than 500
        body = "margin:0;background:#9aa1ac;text-align:center"
        phone = f'<iframe src="{report.as_uri()}" width=390 height=844 style="border:0"></iframe>'
        frame.write_text(f'<body style="{body}">{phone}')
        for name, theme in (("light", LIGHT), ("dark", DARK)):
            picture(frame.as_uri(), f"report-phone-{name}.png", 500, 844, theme)


if __name__ == "__main__":
    main()
