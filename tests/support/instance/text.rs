//! Words, lines and bytes of chance that are the same each time.

/// A generator of numbers that look random (splitmix64).
pub struct Chance(u64);

impl Chance {
    /// The same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % (limit as u64)).unwrap()
    }

    pub fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    /// A file's size around `typical` bytes: most are smaller, a few are many times larger.
    pub fn size(&mut self, typical: usize) -> usize {
        let doublings = (0..6).map(|_| self.below(1000)).sum::<usize>();
        // Between 1/8 and 8 times, by halves of a doubling, so that the mean is about 1.2 times the typical one.
        let factor = 2f64.powf((doublings as f64 - 3000.0) / 700.0);
        (typical as f64 * factor) as usize
    }

    /// Bytes that do not compress.
    pub fn bytes(&mut self, length: usize, out: &mut Vec<u8>) {
        let end = out.len() + length;
        while out.len() < end {
            out.extend_from_slice(&self.next().to_le_bytes());
        }
        out.truncate(end);
    }
}

const NOUNS: &[&str] = &[
    "Order",
    "OrderLine",
    "Invoice",
    "Partner",
    "Product",
    "Price",
    "Warehouse",
    "Locator",
    "Shipment",
    "Payment",
    "Account",
    "Period",
    "Currency",
    "Rate",
    "Tax",
    "Discount",
    "Window",
    "Tab",
    "Field",
    "Process",
    "Parameter",
    "Message",
    "Session",
    "Context",
    "Query",
    "Result",
    "Record",
    "Entity",
    "Property",
    "Value",
    "Module",
    "Role",
];
const VERBS: &[&str] = &[
    "get", "set", "find", "create", "update", "check", "load", "compute", "validate", "render",
    "build", "remove", "apply", "post", "print", "convert",
];
const TYPES: &[&str] = &[
    "String",
    "int",
    "boolean",
    "BigDecimal",
    "Date",
    "List<String>",
    "Map<String, Object>",
    "Long",
];

/// Something like Java or JavaScript.
pub fn code(chance: &mut Chance, length: usize, out: &mut Vec<u8>) {
    let end = out.len() + length;
    while out.len() < end {
        let (noun, other) = (chance.pick(NOUNS), chance.pick(NOUNS));
        let (verb, kind) = (chance.pick(VERBS), chance.pick(TYPES));
        let n = chance.below(10_000);
        let line = match chance.below(8) {
            0 => format!("  /**\n   * Whether {noun} {n} may {verb} its {other}.\n   */\n"),
            1 => format!(
                "  public {kind} {verb}{noun}{other}({kind} value, {other} {}) {{\n",
                other.to_lowercase()
            ),
            2 => format!(
                "    if (value == null || {}.size() > {n}) {{\n      return null;\n    }}\n",
                noun.to_lowercase()
            ),
            3 => format!(
                "    final {kind} {}{} = {verb}{other}(\"{:016X}\");\n",
                noun.to_lowercase(),
                n % 50,
                chance.next()
            ),
            4 => format!(
                "    log.debug(\"{verb} of {noun} {{}} took {{}} ms\", {}, {n});\n",
                other.to_lowercase()
            ),
            5 => "  }\n\n".into(),
            6 => format!("import org.openbravo.model.{verb}.{noun}{other};\n"),
            _ => format!(
                "    criteria.add(Restrictions.eq({noun}.PROPERTY_{}, {n}L));\n",
                other.to_uppercase()
            ),
        };
        out.extend_from_slice(line.as_bytes());
    }
    out.truncate(end);
}

/// Something like the XML of the dictionary: rows with keys of chance.
pub fn rows(chance: &mut Chance, length: usize, out: &mut Vec<u8>) {
    let end = out.len() + length;
    out.extend_from_slice(b"<?xml version='1.0' encoding='UTF-8'?>\n<data>\n");
    while out.len() < end {
        let key = format!("{:016X}{:016X}", chance.next(), chance.next());
        let (noun, other) = (chance.pick(NOUNS), chance.pick(NOUNS));
        let row = format!(
            "<!--{key}--><AD_{noun}>\n<!--{key}-->  <AD_{noun}_ID><![CDATA[{key}]]></AD_{noun}_ID>\n\
             <!--{key}-->  <NAME><![CDATA[{noun} {other} {}]]></NAME>\n\
             <!--{key}-->  <ISACTIVE><![CDATA[Y]]></ISACTIVE>\n\
             <!--{key}-->  <SEQNO><![CDATA[{}]]></SEQNO>\n<!--{key}--></AD_{noun}>\n\n",
            chance.below(1000),
            chance.below(500) * 10,
        );
        out.extend_from_slice(row.as_bytes());
    }
    out.truncate(end);
}

/// Something like a compiled class: names, and bytes that compress badly.
pub fn class(chance: &mut Chance, length: usize, out: &mut Vec<u8>) {
    let end = out.len() + length;
    out.extend_from_slice(b"\xCA\xFE\xBA\xBE\x00\x00\x00\x37");
    while out.len() < end {
        let name = format!(
            "org/openbravo/model/{}/{}",
            chance.pick(VERBS),
            chance.pick(NOUNS)
        );
        out.extend_from_slice(name.as_bytes());
        chance.bytes(24, out);
    }
    out.truncate(end);
}
