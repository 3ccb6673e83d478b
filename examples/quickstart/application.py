#!/usr/bin/env python3
"""An application with a load: application.py PORT [MESSAGES]

GET /              who answers
GET /health_check  {"msg-per-second": 1890, "state": "ok"}
POST /load         sets msg-per-second to the number in the body
POST /state        sets state to the text in the body
POST /stop         ends the application
"""
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port = int(sys.argv[1])
health = {"msg-per-second": int(sys.argv[2]) if len(sys.argv) > 2 else 0, "state": "ok"}


class Application(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health_check":
            self.reply(200, json.dumps(health))
        else:
            self.reply(200, f"answered by port {port}\n")

    def do_POST(self):
        text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if self.path == "/load" and text.isdecimal():
            health["msg-per-second"] = int(text)
        elif self.path == "/state":
            health["state"] = text
        elif self.path == "/stop":
            self.reply(200, "stopped\n")
            os._exit(0)
        else:
            self.reply(400, "POST a number to /load or a word to /state\n")
            return
        self.reply(200, json.dumps(health) + "\n")

    def reply(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


ThreadingHTTPServer(("127.0.0.1", port), Application).serve_forever()
