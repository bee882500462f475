// Java's own client. It also asks to upgrade to HTTP/2. programs.py says what comes in and out.

import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

class Client {
    static byte[] body(int size) {
        byte[] data = new byte[size];
        for (int index = 0; index < size; index++) data[index] = (byte) index;
        return data;
    }

    static String quoted(String text) {
        return "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"") + "\"";
    }

    static BodyPublisher publisher(int size, boolean chunked) {
        if (size == 0) return BodyPublishers.noBody();
        if (!chunked) return BodyPublishers.ofByteArray(body(size));
        return BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(body(size)));
    }

    static String ask(HttpClient client, String url, String line) throws Exception {
        String[] step = line.split("\t");
        int size = Integer.parseInt(step[2]);
        int leave = Integer.parseInt(step[5]);
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url + step[1]))
            .method(step[0], publisher(size, step[3].equals("1")))
            .expectContinue(step[4].equals("1"));
        HttpResponse<InputStream> response =
            client.send(request.build(), BodyHandlers.ofInputStream());
        byte[] data;
        try (InputStream stream = response.body()) {
            data = leave == 0 ? stream.readAllBytes() : stream.readNBytes(leave);
        }
        List<String> headers = new ArrayList<>();
        response.headers().map().forEach((name, values) ->
            headers.add(quoted(name) + ":" + quoted(String.join(", ", values))));
        byte[] hash = MessageDigest.getInstance("SHA-256").digest(data);
        String text = data.length > 1000 ? "" : new String(data, StandardCharsets.UTF_8);
        return "{\"status\":" + response.statusCode() + ",\"headers\":{" + String.join(",", headers)
            + "},\"size\":" + data.length + ",\"hash\":\"" + HexFormat.of().formatHex(hash)
            + "\",\"text\":" + quoted(text) + "}";
    }

    public static void main(String[] args) throws Exception {
        String[] lines = new String(System.in.readAllBytes(), StandardCharsets.UTF_8)
            .stripTrailing().split("\n");
        HttpClient client = HttpClient.newHttpClient();
        List<String> answers = new ArrayList<>();
        for (int index = 1; index < lines.length; index++)
            answers.add(ask(client, lines[0], lines[index]));
        System.out.print("[" + String.join(",", answers) + "]");
        System.exit(0); // the client's threads would go on for a while
    }
}
