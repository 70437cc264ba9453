"""Holds connections that have each asked once, or never: prints a line when all are there, and ends with its standard input.

    idle.py PORT CONNECTIONS [silent]
"""

import resource
import socket
import sys
import time

port, count, silent = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] == ["silent"]
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, max(count + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
held = []
for _ in range(count):
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    held.append(connection)
    if silent:
        continue
    connection.sendall(b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = b""
    while len(answer) < 1024:
        answer += connection.recv(65536)
time.sleep(3)  # idle is what has been so for a while
print("held", flush=True)
sys.stdin.read()
