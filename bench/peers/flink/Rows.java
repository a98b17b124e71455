// ListingMark's rows for the jobs in Java, and the score, written again from the formula in scorer/src/score.rs.
// Knows of no job.

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

final class Rows {
    static final String LISTING = "id,market,price,bedrooms,commute,school,deal,trend,day,amenities,is_offered";
    static final String SESSION = "id,market,budget,min_bedrooms,max_commute,min_school,required,preferred,profile";
    static final String WEIGHTS = "profile,affordability,place,space,commute,schools,amenities,value,momentum";
    static final int FULL = 4095, NEUTRAL = 2048;
    /** No listing has this key. */
    static final long NONE = Long.MAX_VALUE;

    /** Per profile, in the order of {@link #WEIGHTS} without its first column. */
    static int[][] weights;

    private Rows() {}

    /** A home, on offer or not; public fields, so that Flink serialises it by itself. */
    public static class Listing {
        public int id, market, price, bedrooms, commute, school, amenities;
        public boolean isOffered;
        /** What it has whoever asks, per profile: place, schools, value and momentum. */
        public int m0, m1, m2, m3;

        static Listing of(int[] row) {
            Listing l = new Listing();
            l.id = row[0];
            l.market = row[1];
            l.price = row[2];
            l.bedrooms = row[3];
            l.commute = row[4];
            l.school = row[5];
            l.amenities = row[9];
            l.isOffered = row[10] == 1;
            int deal = row[6] * FULL / 100, trend = row[7] == 0 ? 1200 : row[7] == 1 ? 600 : 0;
            int momentum = trend + Math.min(row[8], 400) * 2895 / 400;
            int[] merits = new int[4];
            for (int p = 0; p < 4; p++) {
                int[] w = weights[p];
                merits[p] = FULL * w[1] + l.school * FULL / 100 * w[4] + deal * w[6] + momentum * w[7];
            }
            l.m0 = merits[0];
            l.m1 = merits[1];
            l.m2 = merits[2];
            l.m3 = merits[3];
            return l;
        }
    }

    /** A person who looks for a home, and what it sees. */
    public static class Session {
        public int id, market, budget, minBedrooms, maxCommute, minSchool, required, preferred, profile;
        /** Keys of what it sees, the best first: the smaller is the better, the first n are valid. */
        public long k0, k1, k2;
        public int n;

        static Session of(int[] row) {
            Session s = new Session();
            s.id = row[0];
            s.market = row[1];
            s.budget = row[2];
            s.minBedrooms = row[3];
            s.maxCommute = row[4];
            s.minSchool = row[5];
            s.required = row[6];
            s.preferred = row[7];
            s.profile = row[8];
            return s;
        }

        boolean passes(Listing l) {
            return l.isOffered && l.price <= budget && l.bedrooms >= minBedrooms && l.commute <= maxCommute
                && l.school >= minSchool && (l.amenities & required) == required;
        }

        /** The listing's key, or NONE if this session may not be shown it. */
        long key(Listing l) {
            if (!passes(l)) return NONE;
            int[] w = weights[profile];
            int left = (int) Math.min(FULL, (long) (budget - l.price) * 10_240 / budget);
            int beyond = l.bedrooms - minBedrooms;
            int space = beyond == 0 ? NEUTRAL : beyond == 1 ? 3072 : FULL;
            int commute = (maxCommute - l.commute) * FULL / maxCommute;
            int merit = profile == 0 ? l.m0 : profile == 1 ? l.m1 : profile == 2 ? l.m2 : l.m3;
            return keyOf(merit + w[0] * left + w[2] * space + w[3] * commute + w[5] * amenities(preferred, l.amenities), l.id);
        }

        void offer(long k) {
            if (n == 3 && k >= k2) return;
            if (n == 0 || k < k0) {
                k2 = k1;
                k1 = k0;
                k0 = k;
            } else if (n == 1 || k < k1) {
                k2 = k1;
                k1 = k;
            } else {
                k2 = k;
            }
            if (n < 3) n++;
        }

        void search(Iterable<Listing> all) {
            n = 0;
            for (Listing l : all) {
                long k = key(l);
                if (k != NONE) offer(k);
            }
        }

        /** Applies a listing's new row; true when it sees something else. */
        boolean change(Listing l, Iterable<Listing> all) {
            long k = key(l);
            int at = n > 0 && idOf(k0) == l.id ? 0 : n > 1 && idOf(k1) == l.id ? 1 : n > 2 && idOf(k2) == l.id ? 2 : -1;
            if (at < 0) {
                if (k == NONE || n == 3 && k >= k2) return false;
                offer(k);
                return true;
            }
            long before = at == 0 ? k0 : at == 1 ? k1 : k2, last = k2;
            boolean full = n == 3;
            if (at == 0) k0 = k1;
            if (at <= 1) k1 = k2;
            n--;
            if (k != NONE && (!full || k <= last)) {
                offer(k);
                return before != k;
            }
            // All three were there and it falls below the last of them: one that was outside may be better now.
            if (full) search(all);
            return true;
        }
    }

    static int amenities(int preferred, int has) {
        int count = Integer.bitCount(preferred);
        return count == 0 ? NEUTRAL : Integer.bitCount(preferred & has) * FULL / count;
    }

    static long keyOf(int score, int id) {
        return (long) ~score << 32 | id & 0xffff_ffffL;
    }

    static int idOf(long key) {
        return (int) key;
    }

    static int scoreOf(long key) {
        return ~(int) (key >> 32);
    }

    static List<int[]> read(Path path, String columns) throws IOException {
        List<int[]> rows = new ArrayList<>();
        try (BufferedReader file = Files.newBufferedReader(path)) {
            String head = file.readLine();
            if (!columns.equals(head)) throw new IOException(path + ": columns " + head + " stand where " + columns + " are expected");
            int count = columns.split(",").length;
            for (String line = file.readLine(); line != null; line = file.readLine()) {
                String[] texts = line.split(",");
                int[] row = new int[count];
                for (int i = 0; i < count; i++) row[i] = texts[i].equals("true") ? 1 : texts[i].equals("false") ? 0 : Integer.parseInt(texts[i]);
                rows.add(row);
            }
        }
        return rows;
    }

    static void readWeights(Path path) throws IOException {
        int[][] all = new int[4][];
        for (int[] row : read(path, WEIGHTS)) all[row[0]] = java.util.Arrays.copyOfRange(row, 1, row.length);
        weights = all;
    }
}
