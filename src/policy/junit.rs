//! Results as JUnit XML, the form that CI systems read.

use crate::policy::trial::{Report, Tested};

/// The whole document.
pub(crate) fn document(reports: &[Report]) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for Report { file, results, coverage: _, against: _, note: _ } in reports {
        let failures = results.iter().filter(|tested| tested.failure.is_some()).count();
        xml.push_str(&format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\">\n",
            escaped(file),
            results.len()
        ));
        for Tested { name, line, failure } in results {
            let about = format!(
                "name=\"{}\" classname=\"{}\" file=\"{}\" line=\"{line}\"",
                escaped(name),
                escaped(file),
                escaped(file)
            );
            match failure {
                None => xml.push_str(&format!("    <testcase {about}/>\n")),
                Some(failure) => xml.push_str(&format!(
                    "    <testcase {about}>\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
                    escaped(failure.lines().next().unwrap_or_default().trim()),
                    escaped(failure)
                )),
            }
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// Text for content and attributes; characters that XML cannot carry are left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(character),
            '\u{fffe}' | '\u{ffff}' => {}
            character if character.is_control() => {}
            character => out.push(character),
        }
    }
    out
}
