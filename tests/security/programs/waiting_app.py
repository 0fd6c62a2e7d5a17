#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Does one thing for each line of its standard input, and says when it is done.

bind PORT   a socket, bound, or why it is not     close PORT   closes that one
cycle PORT COUNT   binds and closes, so many times
fork        a child binds nothing and ends        exec         this program again
read PORT   all that waits there                  alive        nothing
"""

import os
import socket
import sys

sockets = {}


def bind(port):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        one.bind(("0.0.0.0", port))
    except OSError as error:
        one.close()
        return error.strerror
    sockets[port] = one
    return "bound"


def read(port):
    texts = []
    try:
        while True:
            texts.append(sockets[port].recv(65536, socket.MSG_DONTWAIT).decode())
    except BlockingIOError:
        return " ".join(texts)


def fork():
    child = os.fork()
    if child == 0:
        os._exit(7)
    return str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def serve(word, numbers):
    if word == "bind":
        return bind(*numbers)
    if word == "close":
        sockets.pop(numbers[0]).close()
    elif word == "cycle":
        for _ in range(numbers[1]):
            if bind(numbers[0]) == "bound":
                sockets.pop(numbers[0]).close()
    elif word == "read":
        return read(numbers[0])
    elif word == "fork":
        return fork()
    elif word == "exec":
        os.execv(sys.executable, [sys.executable, *sys.argv])
    return ""


def main():
    for port in map(int, sys.argv[1:]):
        print("first", port, bind(port), flush=True)
    print("ready", flush=True)
    count = 0
    for line in iter(lambda: os.read(0, 1).decode(), ""):
        while not line.endswith("\n"):
            line += os.read(0, 1).decode()
        word, *numbers = line.split()
        answer = serve(word, [int(number) for number in numbers])
        count += 1
        print("done", count, word, answer, flush=True)


main()
