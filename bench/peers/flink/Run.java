// Flink on ListingMark's files: java Run keyed|sql|sql-batched DIRECTORY TOP3 [START]. Reads the files, runs the job in this
// JVM, times the changes from the first one sent to the last one done, writes what sessions see and prints a line of JSON.
//
// START names a file of what sessions see before the changes: the keyed job then starts as from a savepoint, because at size
// L the first search of every session takes longer than a benchmark may. The jobs are in KeyedJob and SqlJob.

import java.io.PrintWriter;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

public final class Run {
    /** Longest load. */
    private static final long PATIENCE_NS = TimeUnit.MINUTES.toNanos(60);

    static List<int[]> listings, sessions, changes;
    /** What sessions see before the changes, if it was given: keys by session. */
    static Map<Integer, List<Long>> start;
    /** What sessions see: keys, the smaller is the better. One JVM, so the last operator writes here. */
    static final Map<Integer, TreeSet<Long>> seen = new HashMap<>();
    /** Rows that the keyed job has taken in, and rows that any job has put out. */
    static final AtomicLong done = new AtomicLong(), outputs = new AtomicLong();
    static final AtomicLong lastOutput = new AtomicLong();
    static final AtomicInteger sourcesLoaded = new AtomicInteger();
    private static volatile long begun, changesBegun;
    static volatile long changesDone;
    private static volatile double loadSeconds, cpuBefore, heapBefore, heapLoaded;

    private Run() {}

    public static void main(String[] arguments) throws Exception {
        if (arguments.length < 3) throw new IllegalArgumentException("java Run keyed|sql|sql-batched DIRECTORY TOP3 [START]");
        String mode = arguments[0];
        Path directory = Paths.get(arguments[1]);
        Rows.readWeights(directory.resolve("weights.csv"));
        listings = Rows.read(directory.resolve("listings.csv"), Rows.LISTING);
        sessions = Rows.read(directory.resolve("sessions.csv"), Rows.SESSION);
        changes = Rows.read(directory.resolve("changes.csv"), Rows.LISTING);
        if (arguments.length > 3) {
            start = new HashMap<>();
            for (int[] row : Rows.read(Paths.get(arguments[3]), "session,rank,listing,score"))
                start.computeIfAbsent(row[0], session -> new ArrayList<>(3)).add(Rows.keyOf(row[3], row[2]));
        }

        Configuration settings = new Configuration();
        settings.setString("state.backend.type", "hashmap");
        settings.setString("pipeline.object-reuse", "true");
        settings.setString("execution.runtime-mode", "STREAMING");
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.createLocalEnvironment(1, settings);
        environment.setParallelism(1);
        environment.setMaxParallelism(128);
        switch (mode) {
            case "keyed" -> KeyedJob.build(environment);
            case "sql" -> SqlJob.build(environment, 1);
            case "sql-batched" -> SqlJob.build(environment, SqlJob.BATCH);
            default -> throw new IllegalArgumentException(mode + ": no such job");
        }
        heapBefore = heapMiB();
        begun = System.nanoTime();
        environment.execute(mode);
        double used = cpuSeconds() - cpuBefore;
        double seconds = ((mode.equals("keyed") ? changesDone : lastOutput.get()) - changesBegun) / 1e9;
        long outputsSeen = outputs.get();
        int count = changes.size();

        StringBuilder line = new StringBuilder();
        line.append(String.format(Locale.ROOT,
            "{\"engine\":\"flink %s\",\"batch\":%d,\"changes\":%d,\"changes_per_s\":%.3f,\"per_cpu_s\":%.3f,\"load_s\":%.3f,\"rss_mib\":%.3f,\"heap_mib\":%.3f,\"outputs\":%d",
            mode.equals("keyed") ? "keyed" : "sql", mode.equals("sql-batched") ? SqlJob.BATCH : 1, count, count / seconds,
            count / used, loadSeconds, residentMiB(), heapLoaded, outputsSeen));
        if (!mode.equals("keyed")) {
            long pairs = pairs();
            line.append(String.format(Locale.ROOT, ",\"pairs\":%d,\"bytes_per_pair\":%.3f", pairs, (heapLoaded - heapBefore) * 1048576 / pairs));
        }
        if (start != null) line.append(",\"start_given\":true");
        System.out.println(line.append('}'));
        try (PrintWriter file = new PrintWriter(Files.newBufferedWriter(Paths.get(arguments[2])))) {
            file.print("session,rank,listing,score\n");
            for (Map.Entry<Integer, TreeSet<Long>> entry : new TreeMap<>(seen).entrySet()) {
                int rank = 0;
                for (long key : entry.getValue()) file.print(entry.getKey() + "," + ++rank + "," + Rows.idOf(key) + "," + Rows.scoreOf(key) + "\n");
            }
        }
    }

    /** Polls until it holds; a load that takes longer than an hour is a failure. */
    static void await(String what, BooleanSupplier holds) {
        long deadline = System.nanoTime() + PATIENCE_NS;
        while (!holds.getAsBoolean()) {
            if (System.nanoTime() > deadline) throw new IllegalStateException("not within an hour: " + what);
            LockSupport.parkNanos(1_000_000);
        }
    }

    /** The load ended then; the changes begin now. */
    static void beginChanges(long loaded) {
        loadSeconds = (loaded - begun) / 1e9;
        heapLoaded = heapMiB();
        cpuBefore = cpuSeconds();
        changesBegun = System.nanoTime();
    }

    private static double heapMiB() {
        System.gc();
        Runtime runtime = Runtime.getRuntime();
        return (runtime.totalMemory() - runtime.freeMemory()) / 1048576.0;
    }

    private static double cpuSeconds() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime() / 1e9;
    }

    private static double residentMiB() throws java.io.IOException {
        for (String line : Files.readAllLines(Paths.get("/proc/self/status")))
            if (line.startsWith("VmRSS:")) return Double.parseDouble(line.replaceAll("[^0-9]", "")) / 1024;
        throw new java.io.IOException("/proc/self/status has no VmRSS");
    }

    /** How many pairs pass before the changes: what a job holds that keeps them. */
    private static long pairs() {
        Map<Integer, List<Rows.Listing>> offers = new HashMap<>();
        for (int[] row : listings) offers.computeIfAbsent(row[1], market -> new ArrayList<>()).add(Rows.Listing.of(row));
        long pairs = 0;
        for (int[] row : sessions) {
            Rows.Session session = Rows.Session.of(row);
            for (Rows.Listing listing : offers.getOrDefault(row[1], List.of())) if (session.passes(listing)) pairs++;
        }
        return pairs;
    }
}
