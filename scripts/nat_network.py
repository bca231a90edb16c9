"""Network namespaces for nat-test and join-test: two public hosts, and two behind routers that masquerade.

    203.0.113.0/24 (a bridge)
      .10  node 0, public                  .11  node 1, public
      .21  router 1, masquerades ── 10.1.0.2  node 2
      .22  router 2, masquerades ── 10.2.0.2  node 3
"""

import os
import shutil
import subprocess
import sys

PREFIX = "consort-"
PUBLIC = {0: "203.0.113.10", 1: "203.0.113.11"}
ROUTERS = {2: "203.0.113.21", 3: "203.0.113.22"}
PORT = 4040


class Failed(Exception):
    """A check did not hold."""


def sh(*command, inside=None):
    command = [str(part) for part in command]
    if inside:
        command = ["ip", "netns", "exec", PREFIX + inside, *command]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def say(text):
    print(text, flush=True)


def demand_tools(name):
    if os.geteuid() != 0:
        sys.exit(f"error: {name} makes network namespaces, which needs root: run it with sudo")
    for tool, package in ("ip", "iproute2"), ("tc", "iproute2"), ("nft", "nftables"), ("sysctl", "procps"):
        if not shutil.which(tool):
            sys.exit(f"error: {name} needs {tool}: install the package {package}")


def cable(left, left_name, right, right_name):
    sh("ip", "link", "add", "cs-l", "type", "veth", "peer", "name", "cs-r")
    sh("ip", "link", "set", "cs-l", "netns", PREFIX + left, "name", left_name)
    sh("ip", "link", "set", "cs-r", "netns", PREFIX + right, "name", right_name)
    for place, name in (left, left_name), (right, right_name):
        sh("ip", "link", "set", name, "up", inside=place)


def namespace(name):
    sh("ip", "netns", "add", PREFIX + name)
    sh("ip", "link", "set", "lo", "up", inside=name)


def shape(place, device, mbit):
    bucket = ("tbf", "rate", f"{mbit}mbit", "burst", "256kb", "latency", "200ms")
    sh("tc", "qdisc", "replace", "dev", device, "root", *bucket, inside=place)


def set_up(mbit=0):
    """All namespaces, and links of so many Mbit/s outside (0: as they come)."""
    namespace("net")
    sh("ip", "link", "add", "br0", "type", "bridge", inside="net")
    sh("ip", "link", "set", "br0", "up", inside="net")
    for node, address in {**PUBLIC, **ROUTERS}.items():
        place = f"node{node}" if node in PUBLIC else f"router{node}"
        namespace(place)
        cable("net", f"to-{node}", place, "out")
        sh("ip", "link", "set", f"to-{node}", "master", "br0", inside="net")
        sh("ip", "address", "add", f"{address}/24", "dev", "out", inside=place)
        if mbit:
            shape(place, "out", mbit)
            shape("net", f"to-{node}", mbit)
    for node in ROUTERS:
        router, network = f"router{node}", f"10.{node - 1}.0"
        namespace(f"node{node}")
        cable(router, "in", f"node{node}", "out")
        sh("ip", "address", "add", f"{network}.1/24", "dev", "in", inside=router)
        sh("ip", "address", "add", f"{network}.2/24", "dev", "out", inside=f"node{node}")
        sh("ip", "route", "add", "default", "via", f"{network}.1", inside=f"node{node}")
        sh("sysctl", "-qw", "net.ipv4.ip_forward=1", inside=router)
        rules = f"""
            table ip nat {{
                chain post {{ type nat hook postrouting priority srcnat; oifname "out" masquerade; }}
                chain pre {{ type nat hook prerouting priority dstnat; }}
            }}
            table ip filter {{
                chain forward {{
                    type filter hook forward priority filter; policy drop;
                    ct state established,related accept
                    ct status dnat accept
                    iifname "in" accept
                }}
            }}"""
        load(router, rules)


def load(place, rules):
    command = ["ip", "netns", "exec", PREFIX + place, "nft", "-f", "-"]
    done = subprocess.run(command, input=rules, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"nft: {done.stderr.strip()}")


def forward_ports():
    for node in ROUTERS:
        rule = f'add rule ip nat pre iifname "out" tcp dport {PORT} dnat to 10.{node - 1}.0.2:{PORT}\n'
        load(f"router{node}", rule)


def tear_down():
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    names = [line.split()[0] for line in listed.splitlines()]
    for name in names:
        if name.startswith(PREFIX):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)
