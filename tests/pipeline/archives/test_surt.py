"""SURT keys, against those of the Internet Archive's own package where it is installed, and a table of its answers elsewhere."""

import json
import random
import subprocess
from pathlib import Path

import pytest
from archive_tools import archive_tools

from pipeline.archives.surt import surt_key

ANSWERS = {
    "http://www.Example.com/A/B/?b=2&a=1": "com,example)/a/b?a=1&b=2",
    "https://example.com": "com,example)/",
    "http://www2.example.com:80/": "com,example)/",
    "http://example.com:8080/x": "com,example:8080)/x",
    "http://example.com/?": "com,example)/",
    "http://EXAMPLE.com/%7Efoo/%41": "com,example)/~foo/a",
    "http://xn--bcher-kva.example/\xe4": "example,xn--bcher-kva)/%c3%a4",
    "http://1.2.3.4/x": "4,3,2,1)/x",
    "http://www.com/": "com)/",
    "http://example.com//a//b/": "com,example)/a/b",
    "http://example.com/a/?PHPSESSID=0123456789abcdef0123456789abcdef&x=1": "com,example)/a?x=1",
    "https://youtu.be/AbC?t=1": "be,youtu)/abc?t=1",
    "http://example.com./": "com,example)/",
    "http://example.com/a?b=&a&c=%20+x": "com,example)/a?a&b=&c=%20+x",
}
HOSTS = """
www.Example.com
example.com:80
example.com:8080
www2.a.co.uk
EXAMPLE.org.
a..b.com
xn--bcher-kva.example
1.2.3.4
www.com
wwwx.com
user:pw@h.example
h.example:443
h.example:
m.h.com
a_b.com
""".strip("\n").split("\n")
SEGMENTS = """
a
B
%7Efoo
%41
..
.

x y
ä
%2525
%2F
(S(abcdefghijklmnopqrstuvwx))
(abcdefghijklmnopqrstuvwx)
p.aspx
a+b
%23x
q=1
a:b
*
index.html;jsessionid=0123456789ABCDEF0123456789ABCDEF
""".strip("\n").split("\n")
PARAMETERS = """
a=1
b=2
B=
c

sid=0123456789abcdef0123456789abcdef
PHPSESSID=0123456789abcdef0123456789abcdef
x=%20y
é=ü
%25=1
jsessionid=0123456789ABCDEF0123456789abcdef
cfid=1&cftoken=2
ASPSESSIONIDabcdefgh=ABCDEFGHIJKLMNOPQRSTUVWX
u=http://x/?y
""".strip("\n").split("\n")


@pytest.mark.parametrize("url", ANSWERS)
def test_key_is_the_internet_archives(url: str) -> None:
    assert surt_key(url) == ANSWERS[url]


@pytest.mark.parametrize("url", ["ftp://example.com/", "example.com", "", "javascript:void(0)", "dns:example.com"])
def test_other_schemes_have_no_key(url: str) -> None:
    with pytest.raises(ValueError, match="not an http"):
        surt_key(url)


def made_urls(count: int) -> list[str]:
    draw = random.Random(11)
    urls = []
    for _ in range(count):
        segments = [draw.choice(SEGMENTS) for _ in range(draw.randrange(5))]
        url = f"{draw.choice(('http', 'https', 'HTTP'))}://{draw.choice(HOSTS)}{''.join(f'/{part}' for part in segments)}"
        if segments and draw.random() < 0.5:
            url += "?" + "&".join(draw.choice(PARAMETERS) for _ in range(draw.randrange(5)))
        urls.append(url + ("#part?x" if draw.random() < 0.2 else ""))
    return urls


def test_keys_of_made_urls_are_the_packages(tmp_path: Path) -> None:
    urls = made_urls(3000)
    program = "import json,sys; from surt import surt; print(json.dumps([surt(url) for url in json.load(sys.stdin)]))"
    command = [archive_tools() / "python", "-W", "ignore", "-c", program]
    answer = subprocess.run(command, input=json.dumps(urls), capture_output=True, text=True, check=True, cwd=tmp_path)
    assert [surt_key(url) for url in urls] == json.loads(answer.stdout)
