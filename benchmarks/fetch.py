"""Pages per CPU second: our client and our whole stage against plain requests, trafilatura's downloader and Scrapy.

    python benchmarks/fetch.py          # some minutes; installs the peers at first use

One server process answers on 127.0.0.1 (64 ports for 64 hosts, gzip). Each client runs in a process of its own with 16 threads or
concurrent requests, in interleaved rounds; only the client's CPU time counts. The clients do different work per page:

  webtext client            checks the address, verifies TLS, keeps a total deadline, decodes up to a size limit; stores nothing
  webtext stage             robots.txt, one request at a time per host, retries, media type, journal, WARC (3 records per page), index
  requests                  one session per thread, decodes; stores nothing
  trafilatura               fetch_response on urllib3 (its address check refuses loopback, so it is off); extracts and stores nothing
  trafilatura, curl         the same call, with pycurl installed
  trafilatura, stored       the same call, and warcio writes one WARC record per page
  scrapy                    a spider that counts: no robots.txt, verifies no certificates, stores nothing
  scrapy, stored            the spider and an item pipeline that writes each body to its own file
"""

import argparse
import json
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import fetch_clients, peers, scores
from benchmarks.fetch_server import server

SCENARIOS = ("https new hosts", "http new connections", "http kept alive")
OURS = ("webtext client", "webtext stage", "requests")
DOWNLOADER = ("trafilatura", "lxml_html_clean", "warcio", "certifi")
PEERS = {
    "trafilatura": DOWNLOADER,
    "trafilatura, curl": (*DOWNLOADER, "pycurl"),
    "trafilatura, stored": DOWNLOADER,
    "scrapy": ("scrapy",),
    "scrapy, stored": ("scrapy",),
}


def urls(scenario: str, ports: dict[str, list[int]], pages: int) -> list[str]:
    """Return the URLs of a scenario, spread evenly over its ports."""
    scheme = scenario.split()[0]
    path = "keep" if "kept" in scenario else "page"
    hosts = ports[scheme][:8] if "kept" in scenario else ports[scheme]
    return [f"{scheme}://127.0.0.1:{hosts[i % len(hosts)]}/{path}/{i}" for i in range(pages)]


def install_tools() -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Return each tool's interpreter, its name with version, and the reason for each peer that cannot be installed."""
    absent: dict[str, str] = {}
    pythons = dict.fromkeys(OURS, sys.executable)
    labels = {"requests": f"requests {version('requests')}"}
    for name, requirements in PEERS.items():
        try:
            pythons[name] = str(peers.python(requirements[0], *requirements))
        except peers.PeerError as error:
            print(f"without {name}: {error}")
            absent[name] = str(error)
            continue
        versions = peers.versions(Path(pythons[name]), *requirements)
        print(f"{name}: {versions}")
        tool, _, variant = name.partition(", ")
        labels[name] = f"{tool} {versions[tool]}" + (f", {variant}" if variant else "")
    return pythons, labels, absent


Rates = dict[str, list[float]]


def run_rounds(tools: dict[str, str], pages: int, rounds: int, folder: Path) -> tuple[Rates, dict[str, float], dict[str, str]]:
    """Return each tool's pages per CPU second by round, its peak memory in MB, and the reason for each peer that failed.

    A peer that fails in any round has no rates.
    """
    rates: Rates = {name: [] for name in tools}
    peaks = dict.fromkeys(tools, 0.0)
    absent: dict[str, str] = {}
    for _ in range(rounds):
        for name in list(rates):
            try:
                figures = run_alone(name, tools[name], folder)
                rates[name].append(pages / figures["cpu"])
                peaks[name] = max(peaks[name], figures["peak_mb"])
            except peers.PeerError as error:
                print(error)
                absent[name] = str(error)
                del rates[name]
    return rates, peaks, absent


def compare(scenarios: list[str], pages: int, rounds: int, rows_file: Path | None) -> None:
    """Print pages per CPU second, median [minimum to maximum], and the ratios of our client and our stage to each tool."""
    tools, labels, absent = install_tools()
    scores.append_rows(rows_file, [scores.Absent("pages", name, why) for name, why in absent.items()])
    with server() as (folder, ports):
        for scenario in scenarios:
            (folder / "asked.json").write_text(json.dumps(urls(scenario, ports, pages)))
            rates, peaks, failed = run_rounds(tools, pages, rounds, folder)
            scores.append_rows(rows_file, [scores.Absent(f"pages, {scenario}", name, why) for name, why in failed.items()])
            print(f"\n{scenario}: pages per CPU second ({pages} pages, {rounds} rounds); client / tool; stage / tool", flush=True)
            for name, speeds in rates.items():
                against = [spread([a / b for a, b in zip(rates[own], speeds, strict=True)], ".2f") for own in OURS[:2]]
                print(f"  {name:<20} {spread(speeds, '.0f'):<24} {against[0]:<24} {against[1]}", flush=True)
            costs = {name: tuple(1e3 / rate for rate in speeds) for name, speeds in rates.items()}
            scores.append_rows(
                rows_file,
                [
                    scores.Race(
                        "pages",
                        f"{scenario}; {own.removeprefix('webtext ')}",
                        peer,
                        "CPU ms per page",
                        costs[own],
                        costs[name],
                        peaks[own],
                        peaks[name],
                    )
                    for name, peer in labels.items()
                    if name in costs
                    for own in OURS[:2]
                ],
            )
            if scenario == SCENARIOS[-1]:
                scores.append_rows(rows_file, [limit(costs["webtext client"], folder, pages)])


def limit(client: tuple[float, ...], folder: Path, pages: int) -> scores.Limit:
    """The lower bound for our client: receive the same bytes and decompress them, without parsing HTTP, checking addresses or deadlines."""
    asked = json.loads((folder / "asked.json").read_text())
    least = tuple(1e3 * fetch_clients.bare_seconds(asked) / pages for _ in client)
    return scores.Limit("pages, client", "sockets and zlib alone, plain http, kept alive", "CPU ms per page", client, least)


def run_alone(name: str, python: str, folder: Path) -> dict[str, float]:
    """Run a tool in a process of its own and return its figures. Raises PeerError with the last error line if a peer fails."""
    command = [python, fetch_clients.__file__, name, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    if done.returncode and name in PEERS:
        raise peers.PeerError(f"{name}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def spread(values: list[float], form: str) -> str:
    return f"{statistics.median(values):{form}} [{min(values):{form}} to {max(values):{form}}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=SCENARIOS)
    parser.add_argument("--pages", type=int, default=1024, help="pages per round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    scores.add_flag(parser)
    arguments = parser.parse_args()
    compare(arguments.scenarios, arguments.pages, arguments.rounds, arguments.scores)


if __name__ == "__main__":
    main()
