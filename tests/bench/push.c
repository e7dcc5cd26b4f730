/* SPDX-License-Identifier: Apache-2.0
 *
 * A bare DynamoDB client: nothing but prepared requests on kept-alive
 * connections, to know what a server takes.
 *
 *   bench_push put HOST PORT TABLE FILE CONNECTIONS    items of FILE, one a line, as
 *                                                      BatchWriteItem of 25
 *   bench_push scan HOST PORT TABLE                    all pages of a Scan
 *
 * Prints the wall seconds and how many bytes came back. The Authorization
 * header only looks like one: the servers it is for do not check it.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 25, CONNECTIONS_MAX = 64, ANSWER_MAX = 8 * 1024 * 1024 };

struct request {
    char *data;
    size_t size;
};

static struct sockaddr_in server;
static const char *table;
static struct request *requests;
static size_t request_count, next_request;
static size_t received;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void die(const char *what)
{
    fprintf(stderr, "bench_push: %s\n", what);
    exit(1);
}

static void prepare(struct request *out, const char *operation, const char *body, size_t size)
{
    int head;

    out->data = malloc(size + 1024);
    if (!out->data)
        die("no memory");
    head = snprintf(out->data, 1024,
                    "POST / HTTP/1.1\r\nHost: %s\r\nX-Amz-Target: DynamoDB_20120810.%s\r\n"
                    "Content-Type: application/x-amz-json-1.0\r\nX-Amz-Date: 20260101T000000Z\r\n"
                    "Authorization: AWS4-HMAC-SHA256 Credential=K/20260101/us-east-1/dynamodb/"
                    "aws4_request, SignedHeaders=host;x-amz-date, Signature=00\r\n"
                    "Content-Length: %zu\r\n\r\n",
                    inet_ntoa(server.sin_addr), operation, size);
    memcpy(out->data + head, body, size);
    out->size = (size_t)head + size;
}

static int open_connection(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof server) != 0)
        die("no connection");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* Sends a request and reads the answer with its Content-Length; its body. */
static char *exchange(int fd, const struct request *request, char *answer, size_t *size)
{
    size_t sent = 0, got = 0, length = 0;
    char *body = NULL;

    while (sent < request->size) {
        ssize_t step = write(fd, request->data + sent, request->size - sent);

        if (step <= 0)
            die("sending failed");
        sent += (size_t)step;
    }
    while (!body || got < (size_t)(body - answer) + length) {
        ssize_t step = got < ANSWER_MAX ? read(fd, answer + got, ANSWER_MAX - got) : -1;

        if (step <= 0)
            die("no answer");
        got += (size_t)step;
        answer[got] = 0;
        if (!body && (body = strstr(answer, "\r\n\r\n"))) {
            char *field = strcasestr(answer, "\r\ncontent-length:");

            if (!field || strncmp(answer, "HTTP/1.1 200", 12) != 0)
                die(answer);
            length = strtoul(field + 17, NULL, 10);
            body += 4;
        }
    }
    *size = length;
    return body;
}

static void *pusher(void *unused)
{
    char *answer = malloc(ANSWER_MAX + 1);
    int fd = open_connection();

    (void)unused;
    if (!answer)
        die("no memory");
    for (;;) {
        size_t mine, size;

        pthread_mutex_lock(&lock);
        mine = next_request++;
        pthread_mutex_unlock(&lock);
        if (mine >= request_count)
            break;
        exchange(fd, &requests[mine], answer, &size);
        pthread_mutex_lock(&lock);
        received += size;
        pthread_mutex_unlock(&lock);
    }
    close(fd);
    free(answer);
    return NULL;
}

static void load(const char *path)
{
    FILE *file = fopen(path, "r");
    char *line = NULL, *body;
    size_t room = 0, size = 0, items = 0, body_room = 16 * 1024 * 1024;
    ssize_t length;

    body = malloc(body_room);
    requests = calloc(1 << 20, sizeof *requests);
    if (!file || !body || !requests)
        die("the items cannot be read");
    do {
        length = getline(&line, &room, file);
        if (length > 0) {
            if (!items)
                size = (size_t)sprintf(body, "{\"RequestItems\":{\"%s\":[", table);
            if (size + (size_t)length + 64 > body_room)
                die("the items are too long");
            line[strcspn(line, "\n")] = 0;
            size += (size_t)sprintf(body + size, "%s{\"PutRequest\":{\"Item\":%s}}",
                                    items ? "," : "", line);
            items++;
        }
        if (items == BATCH || (length <= 0 && items)) {
            size += (size_t)sprintf(body + size, "]}}");
            prepare(&requests[request_count++], "BatchWriteItem", body, size);
            items = 0;
        }
    } while (length > 0);
    fclose(file);
    free(line);
    free(body);
}

static void scan(void)
{
    char *answer = malloc(ANSWER_MAX + 1), *body = malloc(64 * 1024);
    struct request request;
    int fd = open_connection();
    char *last;
    size_t size;

    if (!answer || !body)
        die("no memory");
    sprintf(body, "{\"TableName\":\"%s\"}", table);
    do {
        prepare(&request, "Scan", body, strlen(body));
        char *page = exchange(fd, &request, answer, &size);

        free(request.data);
        received += size;
        last = strstr(page, "\"LastEvaluatedKey\":");
        if (last) {
            char *end = strstr(last, "}}");

            snprintf(body, 64 * 1024, "{\"TableName\":\"%s\",\"ExclusiveStartKey\":%.*s}", table,
                     (int)(end + 2 - (last + 19)), last + 19);
        }
    } while (last);
    close(fd);
    free(answer);
    free(body);
}

int main(int argc, char **argv)
{
    pthread_t threads[CONNECTIONS_MAX];
    struct timespec start, end;
    int connections = argc == 7 ? (int)strtol(argv[6], NULL, 10) : 1;

    if (argc < 5 || connections < 1 || connections > CONNECTIONS_MAX)
        die("see the top of the source for the arguments");
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
    if (inet_pton(AF_INET, argv[2], &server.sin_addr) != 1)
        die("the host is an IPv4 address");
    table = argv[4];
    if (strcmp(argv[1], "put") == 0 && argc == 7)
        load(argv[5]);
    clock_gettime(CLOCK_MONOTONIC, &start);
    if (strcmp(argv[1], "scan") == 0) {
        scan();
    } else {
        for (int i = 0; i < connections; i++)
            if (pthread_create(&threads[i], NULL, pusher, NULL) != 0)
                die("no thread");
        for (int i = 0; i < connections; i++)
            pthread_join(threads[i], NULL);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%.6f %zu\n",
           (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9,
           received);
    return 0;
}
