import de.bwaldvogel.mongo.MongoDatabase;
import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.AbstractMongoBackend;
import de.bwaldvogel.mongo.backend.Index;
import de.bwaldvogel.mongo.backend.IndexKey;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.backend.h2.H2Database;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import de.bwaldvogel.mongo.backend.memory.MemoryDatabase;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import org.h2.mvstore.MVStore;

/** Arguments: the file to write the port to, the port or 0, and a file for the data, else memory. */
public class Launcher {
    record Version(List<Integer> getVersionArray, int getWireVersion) implements MongoVersion {}

    static class InMemory extends MemoryBackend {
        @Override
        public MemoryDatabase openOrCreateDatabase(String name) {
            return new MemoryDatabase(name, getCursorRegistry()) {
                @Override
                protected Index<Integer> openOrCreateUniqueIndex(
                    String collection, String index, List<IndexKey> keys, boolean sparse
                ) {
                    return new ById<>(super.openOrCreateUniqueIndex(collection, index, keys, sparse));
                }
            };
        }
    }

    static class OnDisk extends H2Backend {
        OnDisk(String file) {
            super(MVStore.open(file));
        }

        @Override
        protected MongoDatabase openOrCreateDatabase(String name) {
            return new H2Database(name, getMvStore(), getCursorRegistry()) {
                @Override
                protected Index<Object> openOrCreateUniqueIndex(
                    String collection, String index, List<IndexKey> keys, boolean sparse
                ) {
                    return new ById<>(super.openOrCreateUniqueIndex(collection, index, keys, sparse));
                }
            };
        }
    }

    public static void main(String[] arguments) throws Exception {
        AbstractMongoBackend backend =
            arguments.length > 2 ? new OnDisk(arguments[2]) : new InMemory();
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
