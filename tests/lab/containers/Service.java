import com.sun.management.HotSpotDiagnosticMXBean;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.function.Supplier;

/** The Java service of the lab: says on port 8080 that it is healthy, and what its own JVM thinks it was given. */
public class Service {
    public static void main(String[] arguments) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress(8080), 0);
        HotSpotDiagnosticMXBean machine = ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class);
        answer(server, "/healthz", () -> "ok");
        // Not Runtime.maxMemory(): that leaves out what the collector keeps for itself.
        answer(server, "/heap", () -> machine.getVMOption("MaxHeapSize").getValue());
        answer(server, "/cpus", () -> Integer.toString(Runtime.getRuntime().availableProcessors()));
        answer(server, "/flags", () -> String.join("\n", ManagementFactory.getRuntimeMXBean().getInputArguments()));
        server.start();
    }

    private static void answer(HttpServer server, String path, Supplier<String> text) {
        server.createContext(path, exchange -> {
            byte[] body = (text.get() + "\n").getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
    }
}
