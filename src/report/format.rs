//! Tables as markdown, LaTeX and CSV.

use std::str::FromStr;

use comfy_table::{ColumnConstraint, Row, Table};

/// The format of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// In columns, for a terminal.
    #[default]
    Text,
    Markdown,
    Latex,
    Csv,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Format::Text),
            "markdown" => Ok(Format::Markdown),
            "latex" => Ok(Format::Latex),
            "csv" => Ok(Format::Csv),
            _ => Err(format!("expected text, markdown, latex or csv, found `{text}`")),
        }
    }
}

/// The table as text, without its hidden columns.
pub fn render(table: &Table, format: Format) -> String {
    if format == Format::Text {
        return table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n");
    }
    let is_hidden = |column: usize| {
        table.column(column).is_some_and(|column| matches!(column.constraint(), Some(ColumnConstraint::Hidden)))
    };
    let cells = |row: &Row| -> Vec<String> {
        let cells = row.cell_iter().enumerate().filter(|(column, _)| !is_hidden(*column));
        cells.map(|(_, cell)| cell.content().split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    let rows: Vec<Vec<String>> = table.header().into_iter().chain(table.row_iter()).map(cells).collect();
    written(&rows, format)
}

/// Rows of cells; the first row holds the names of the columns.
pub(super) fn written(rows: &[Vec<String>], format: Format) -> String {
    let Some((head, body)) = rows.split_first() else { return String::new() };
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let lines = |line: &dyn Fn(&Vec<String>) -> String| body.iter().map(line).collect::<Vec<_>>().join("\n");
    match format {
        Format::Text | Format::Markdown => {
            let line = |row: &Vec<String>| {
                format!("| {} |", row.iter().map(|cell| markdown(cell)).collect::<Vec<_>>().join(" | "))
            };
            let rule = format!("|---|{}", "---:|".repeat(columns.saturating_sub(1)));
            format!("{}\n{rule}\n{}", line(head), lines(&line))
        }
        Format::Latex => {
            let line = |row: &Vec<String>| row.iter().map(|cell| latex(cell)).collect::<Vec<_>>().join(" & ") + r" \\";
            let places = format!("l{}", "r".repeat(columns.saturating_sub(1)));
            format!(
                "\\begin{{tabular}}{{{places}}}\n\\hline\n{}\n\\hline\n{}\n\\hline\n\\end{{tabular}}",
                line(head),
                lines(&line)
            )
        }
        Format::Csv => {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            // Writing to memory cannot fail.
            rows.iter().for_each(|row| _ = writer.write_record(row));
            let bytes = writer.into_inner().unwrap_or_default();
            String::from_utf8_lossy(&bytes).trim_end().to_owned()
        }
    }
}

fn markdown(cell: &str) -> String {
    let mut text = String::with_capacity(cell.len());
    for letter in cell.chars() {
        match letter {
            '\\' | '|' | '*' | '_' | '`' => text.extend(['\\', letter]),
            '<' => text.push_str("&lt;"),
            _ => text.push(letter),
        }
    }
    text
}

fn latex(cell: &str) -> String {
    let mut text = String::with_capacity(cell.len());
    for letter in cell.chars() {
        match letter {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => text.extend(['\\', letter]),
            '\\' => text.push_str(r"\textbackslash{}"),
            '~' => text.push_str(r"\textasciitilde{}"),
            '^' => text.push_str(r"\textasciicircum{}"),
            '<' => text.push_str("$<$"),
            '>' => text.push_str("$>$"),
            '\u{b1}' => text.push_str(r"$\pm$"),
            '\u{2192}' => text.push_str(r"$\rightarrow$"),
            _ => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_what_they_were_in_every_notation() {
        let mut table = Table::new();
        table.set_header(["method", "hidden", "cost\n$"]);
        table.add_row(["A_b | c & d", "x", "1,5 \u{b1}.02"]);
        table.add_row(["say \"50 %\" \\ ^", "y", "<2"]);
        if let Some(column) = table.column_mut(1) {
            column.set_constraint(ColumnConstraint::Hidden);
        }
        insta::assert_snapshot!(render(&table, Format::Markdown), @r#"
        | method | cost $ |
        |---|---:|
        | A\_b \| c & d | 1,5 ±.02 |
        | say "50 %" \\ ^ | &lt;2 |
        "#);
        insta::assert_snapshot!(render(&table, Format::Latex), @r#"
        \begin{tabular}{lr}
        \hline
        method & cost \$ \\
        \hline
        A\_b | c \& d & 1,5 $\pm$.02 \\
        say "50 \%" \textbackslash{} \textasciicircum{} & $<$2 \\
        \hline
        \end{tabular}
        "#);
        insta::assert_snapshot!(render(&table, Format::Csv), @r#"
        method,cost $
        A_b | c & d,"1,5 ±.02"
        "say ""50 %"" \ ^",<2
        "#);
        assert!(render(&table, Format::Text).contains("A_b"));
        assert_eq!(written(&[], Format::Csv), "");
        assert_eq!("csv".parse(), Ok(Format::Csv));
        assert!("tsv".parse::<Format>().is_err());
    }
}
