/* The bar for the accept loop: it answers every connection with the same line, with one epoll.
 *
 *     constant_loop ADDRESS PORT [close | read-name]
 *
 * Without a third argument, it acts as the responder with a configured service: it sends the line, shuts down the sending
 * side, and reads until the client closes. With `close`, it sends and closes, which is the least that a program can do. A
 * client that sent something then gets a reset. With `read-name`, it acts as the responder with --name-from-client: it
 * reads the client's line, sends, and closes. It has no timeouts and no limits, because they are not compared. */

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
	int close_at_once = count > 3 && !strcmp(arguments[3], "close");
	int read_name = count > 3 && !strcmp(arguments[3], "read-name");
	/* MSG_MORE: the end of the connection travels in the segment of the line. */
	int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (read_name ? MSG_MORE : 0);
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
				if (read_name && got > 0)
					send(socket, line, sizeof line - 1, flags);
				if (read_name || got <= 0)
					close(socket);
				continue;
			}
			socket = accept4(listener, 0, 0, SOCK_CLOEXEC);
			if (socket < 0)
				continue;
			/* The client's line has usually arrived already. */
			if (read_name && recv(socket, buffer, sizeof buffer, MSG_DONTWAIT) < 0) {
				event.data.fd = socket;
				epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event);
				continue;
			}
			send(socket, line, sizeof line - 1, flags);
			if (close_at_once || read_name) {
				close(socket);
				continue;
			}
			shutdown(socket, SHUT_WR);
			event.data.fd = socket;
			epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event);
		}
	}
}
