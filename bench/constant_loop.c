/* The bar of the accept loop: answers every connection with the same line, from one epoll.
 *
 *     constant_loop ADDRESS PORT [blunt | named]
 *
 * Without a third word, it has the manners of the responder with a service of its own: one send, then the sending side
 * is shut down, then what the client sends is read until it closes. `blunt` closes right after the send, which is as
 * little as a program can do; a client that sent something then gets a reset. `named` has the manners of the responder
 * with --name-from-client: it reads the client's line, sends, and closes. None has a bound on anything: that is not
 * what is compared. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int count, char **arguments) {
	static const char line[] = "up 73% # app.rps=1890\n";
	static char buffer[4096];
	if (count < 3)
		return 2;
	int blunt = count > 3 && !strcmp(arguments[3], "blunt");
	int named = count > 3 && !strcmp(arguments[3], "named");
	/* The end of the connection travels with the line. */
	int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (named ? MSG_MORE : 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[2]))};
	inet_pton(AF_INET, arguments[1], &address.sin_addr);
	int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) {
		perror("constant_loop");
		return 1;
	}
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[64];
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		int ready = epoll_wait(epoll, events, 64, -1);
		for (int i = 0; i < ready; i++) {
			int socket = events[i].data.fd;
			if (socket != listener) {
				ssize_t got = recv(socket, buffer, sizeof buffer, MSG_DONTWAIT);
				if (named && got > 0)
					send(socket, line, sizeof line - 1, flags);
				if (named || got <= 0)
					close(socket);
				continue;
			}
			socket = accept4(listener, 0, 0, SOCK_CLOEXEC);
			if (socket < 0)
				continue;
			/* The line has usually arrived already. */
			if (named && recv(socket, buffer, sizeof buffer, MSG_DONTWAIT) < 0) {
				event.data.fd = socket;
				epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event);
				continue;
			}
			send(socket, line, sizeof line - 1, flags);
			if (blunt || named) {
				close(socket);
				continue;
			}
			shutdown(socket, SHUT_WR);
			event.data.fd = socket;
			epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event);
		}
	}
}
