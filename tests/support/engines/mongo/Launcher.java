import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.AbstractMongoBackend;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;

/** Arguments: the file to write the port to, the port or 0, and a file for the data, else memory. */
public class Launcher {
    record Version(List<Integer> getVersionArray, int getWireVersion) implements MongoVersion {}

    public static void main(String[] arguments) throws Exception {
        AbstractMongoBackend backend =
            arguments.length > 2 ? new H2Backend(arguments[2]) : new MemoryBackend();
        backend.version(new Version(List.of(7, 0, 0), 21));
        MongoServer server = new MongoServer(backend);
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
        server.bind("127.0.0.1", Integer.parseInt(arguments[1]));
        Path file = Path.of(arguments[0]);
        Path written = Path.of(arguments[0] + ".new");
        Files.writeString(written, Integer.toString(server.getLocalAddress().getPort()));
        Files.move(written, file, StandardCopyOption.ATOMIC_MOVE);
    }
}
