import de.bwaldvogel.mongo.MongoDatabase;
import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.AbstractMongoBackend;
import de.bwaldvogel.mongo.backend.CollectionOptions;
import de.bwaldvogel.mongo.backend.Index;
import de.bwaldvogel.mongo.backend.IndexKey;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.backend.h2.H2Database;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import de.bwaldvogel.mongo.backend.memory.MemoryCollection;
import de.bwaldvogel.mongo.backend.memory.MemoryDatabase;
import de.bwaldvogel.mongo.bson.Document;
import io.netty.channel.Channel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import org.h2.mvstore.MVStore;

/**
 * Arguments: the file to write the port to, the port or 0, and a file for the data, else memory.
 *
 * <p>Properties: {@code bind}, the address to listen on; {@code replSet}, the name of the set to act as.
 */
public class Launcher {
    record Version(List<Integer> getVersionArray, int getWireVersion) implements MongoVersion {}

    static class InMemory extends MemoryBackend {
        private final ReplicaSet set;

        InMemory(ReplicaSet set) {
            this.set = set;
        }

        @Override
        public Document handleCommand(
            Channel channel, String database, String command, Document query
        ) {
            return set.answer(
                command, query, asked -> super.handleCommand(channel, database, asked, query)
            );
        }

        @Override
        public MemoryDatabase openOrCreateDatabase(String name) {
            return new MemoryDatabase(name, getCursorRegistry()) {
                @Override
                protected Index<Integer> openOrCreateUniqueIndex(
                    String collection, String index, List<IndexKey> keys, boolean sparse
                ) {
                    return new ById<>(super.openOrCreateUniqueIndex(collection, index, keys, sparse));
                }

                @Override
                protected Index<Integer> openOrCreateSecondaryIndex(
                    String collection, String index, List<IndexKey> keys, boolean sparse
                ) {
                    if (keys.size() < 3) {
                        return super.openOrCreateSecondaryIndex(collection, index, keys, sparse);
                    }
                    return new Sorted<>(index, keys);
                }

                @Override
                protected MemoryCollection openOrCreateCollection(
                    String collection, CollectionOptions options
                ) {
                    return new Collected(this, collection, options, cursorRegistry);
                }
            };
        }
    }

    static class OnDisk extends H2Backend {
        private final ReplicaSet set;

        OnDisk(String file, ReplicaSet set) {
            super(MVStore.open(file));
            this.set = set;
        }

        @Override
        public Document handleCommand(
            Channel channel, String database, String command, Document query
        ) {
            return set.answer(
                command, query, asked -> super.handleCommand(channel, database, asked, query)
            );
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
        boolean onDisk = arguments.length > 2;
        ReplicaSet set = new ReplicaSet(
            System.getProperty("replSet"), onDisk ? Path.of(arguments[2] + ".set") : null
        );
        AbstractMongoBackend backend =
            onDisk ? new OnDisk(arguments[2], set) : new InMemory(set);
        backend.version(new Version(List.of(7, 0, 0), 21));
        MongoServer server = new MongoServer(backend);
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
        server.bind(System.getProperty("bind", "127.0.0.1"), Integer.parseInt(arguments[1]));
        Path file = Path.of(arguments[0]);
        Path written = Path.of(arguments[0] + ".new");
        Files.writeString(written, Integer.toString(server.getLocalAddress().getPort()));
        Files.move(written, file, StandardCopyOption.ATOMIC_MOVE);
    }
}
